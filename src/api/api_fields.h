/* api_fields.h - tables of fields, and what several commands share.
 * Thread:  any.
 * Memory:  constant tables.
 * Failure: what is missing is refused with the field's name. */
#ifndef API_API_FIELDS_H
#define API_API_FIELDS_H

#include "api/api_priv.h"

#include <stddef.h>

#define FIELD(kind, member)                                                                        \
    {                                                                                              \
#member, FIELD_##kind, offsetof(struct params, member)                                     \
    }
#define FIELD_AS(kind, name, member)                                                               \
    {                                                                                              \
        name, FIELD_##kind, offsetof(struct params, member)                                        \
    }
#define FIELD_NOT(name)                                                                            \
    {                                                                                              \
        name, FIELD_UNSUPPORTED, 0                                                                 \
    }

/* {} */
void api_write_nothing(struct json_writer *w, const struct slot *s, const struct answer *a);
void api_put_epoch(struct json_writer *w, uint32_t epoch);
/* False: the command has been refused. */
bool api_has_channel(struct slot *s, const struct params *p);

#endif
