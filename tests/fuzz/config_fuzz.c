/*
 * config_fuzz.c - configuration files that nobody should write.
 *
 * The text is loaded as a file would be. A configuration that comes out must be whole: its
 * effective form can be written, and has its lists and namespaces in order.
 */
// links: app
#include "fuzz.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "app/config.h"
#include "base/must.h"

enum { TEXT_MAX = 16 * 1024 * 1024 };

static void check(const struct config *c)
{
    struct buf text;
    buf_init(&text, TEXT_MAX);
    MUST(c->listen.count > 0);
    MUST(c->policy.namespace_count >= 2);
    for (size_t i = 0; i < c->endpoints.count; i++)
        MUST(c->endpoints.items[i].path.p[0] == '/');
    (void)config_write_effective(c, &text); // may not fit, must not break
    buf_fini(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char name[32];
    struct buf messages;
    struct config *c = NULL;
    int fd = memfd_create("config", 0);
    MUST(fd >= 0);
    MUST(write(fd, data, size) == (ssize_t)size);
    snprintf(name, sizeof(name), "/dev/fd/%d", fd);
    struct config_source source = {.file = name, .strict = size % 2 == 0};
    buf_init(&messages, TEXT_MAX);
    if (config_load(&source, &c, &messages))
        check(c);
    else
        MUST(messages.len > 0);
    config_destroy(&c);
    buf_fini(&messages);
    close(fd);
    return 0;
}
