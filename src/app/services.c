/*
 * services.c - what is served beside the hub, in the order in which it is made; it is taken apart
 * in the reverse order.
 */
#include "app/server.h"

static const struct service *const services[] = {
#define SERVICE(name) &name##_service,
#include "app/services.def"
#undef SERVICE
};
static const size_t service_count = sizeof(services) / sizeof(services[0]);

bool services_make(struct server *s, struct buf *ret_why)
{
    for (size_t i = 0; i < service_count; i++) {
        if (services[i]->make != NULL && !services[i]->make(s, ret_why))
            return false;
    }
    return true;
}

bool services_start(struct server *s, struct buf *ret_why)
{
    for (size_t i = 0; i < service_count; i++) {
        if (services[i]->start != NULL && !services[i]->start(s, ret_why))
            return false;
    }
    return true;
}

void services_stop(struct server *s)
{
    for (size_t i = service_count; i > 0; i--) {
        if (services[i - 1]->stop != NULL)
            services[i - 1]->stop(s);
    }
}

void services_drop(struct server *s)
{
    for (size_t i = service_count; i > 0; i--) {
        if (services[i - 1]->drop != NULL)
            services[i - 1]->drop(s);
    }
}
