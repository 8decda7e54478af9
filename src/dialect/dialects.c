/*
 * dialects.c - the table of dialects, made from dialects.def.
 */
#include "dialect/dialect.h"

#define DIALECT(name) extern const struct dialect dialect_##name;
#include "dialect/dialects.def"
#undef DIALECT

#define DIALECT(name) &dialect_##name,
const struct dialect *const dialects[] = {
#include "dialect/dialects.def"
};
#undef DIALECT

const size_t dialect_count = sizeof(dialects) / sizeof(dialects[0]);

const struct dialect *dialect_find(struct str name)
{
    for (size_t i = 0; i < dialect_count; i++) {
        if (str_eq(str_from(dialects[i]->name), name))
            return dialects[i];
    }
    return NULL;
}
