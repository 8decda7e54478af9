// links: dialect
/* What comes from a message broker: any bytes. The first says on which of the two channels. What is
 * published must be JSON, and nothing may be read outside the message. */
#include "fuzz.h"

#include "base/json.h"
#include "base/log.h"
#include "base/must.h"
#include "dialect/bridge.h"

static void publish(void *ctx, const struct publish_params *p)
{
    (void)ctx;
    MUST(p->channel.n > 0 && p->type.n > 0 && json_valid(p->data));
    MUST(p->tags.n == 0 || json_valid(p->tags));
    struct str spared = p->exclude_channels;
    while (spared.n > 0)
        MUST(str_cut(&spared, ' ').n > 0);
}

static void control(void *ctx, const struct control_params *p)
{
    (void)ctx;
    MUST(p->everybody || p->client.n == 36);
    MUST(p->verb == CONTROL_DISCONNECT || p->channel.n > 0);
}

static void tenants(void *ctx, enum bridge_where where, struct str nsp, struct str name,
                    socketio_visitor *visit, void *visit_ctx)
{
    (void)ctx;
    MUST(nsp.n > 0 && nsp.p[0] == '/' && (where == BRIDGE_NAMESPACE || name.n > 0));
    visit(visit_ctx, STR("org"));
    visit(visit_ctx, STR("acme"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct bridge_ops ops = {
        .publish = publish, .control = control, .tenants = tenants};
    struct bridge b = {.ops = &ops,
                       .socketio = STR("s"),
                       .gamification = STR("g"),
                       .tenant = STR("*"),
                       .tenant_default = STR("default")};
    log_setup(LOG_NONE, false);
    if (size == 0)
        return 0;
    struct str payload = {(const char *)data + 1, size - 1};
    bridge_take(&b, data[0] == 'g' ? STR("g") : STR("s"), payload, 1);
    b.tenant = STR("one");
    bridge_take(&b, data[0] == 'g' ? STR("g") : STR("s"), payload, 2);
    return 0;
}
