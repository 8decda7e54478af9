/* admission.h - who is let in: what may change while the server runs, replaced as a whole.
 * Thread:  read on any loop through an atomic pointer; a reload makes a new one, and the old one
 *          stays until every loop has turned. Never keep what it points to beyond a callback.
 * Memory:  the app's.
 * Failure: none. */
#ifndef AUTH_ADMISSION_H
#define AUTH_ADMISSION_H

#include "auth/token.h"

#include <stdatomic.h>

struct admission {
    const struct auth *auth;
    bool token_required;       // by clients of endpoints that do not say themselves
    const struct str *origins; // allowed ones besides the server's own; "*": any
    size_t origin_count;
};

typedef const struct admission *_Atomic admission_slot;

/* A back end has shown an API key where one is needed: as X-API-Key, or as "Authorization: apikey
 * K". Both headers' values, or "". */
bool admission_lets_back_end(const struct admission *a, struct str x_api_key,
                             struct str authorization);
/* What one that has not is told: a wrong key is told from none. tokens: a client's would do, too.
 */
const char *admission_back_end_refusal(struct str x_api_key, struct str authorization, bool tokens);

static inline const struct admission *admission_now(const admission_slot *slot)
{
    return atomic_load_explicit((admission_slot *)(uintptr_t)slot, memory_order_acquire);
}

#endif
