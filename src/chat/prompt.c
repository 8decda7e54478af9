/*
 * prompt.c - what the model is told of a conversation.
 *
 * Why it exists: one application has always put everything into a single message with its own
 * words; everybody else speaks in the roles that models know.
 */
#include "chat/chat_priv.h"

bool said_add(struct list *said, struct str role, struct str content)
{
    struct said *s = malloc(sizeof(*s) + role.n + content.n);
    if (s == NULL)
        return false;
    char *at = s->bytes;
    s->role = str_put(&at, role);
    s->content = str_put(&at, content);
    list_add(said->next, &s->link); // rows come newest first
    return true;
}

void said_drop(struct list *said)
{
    list_each_safe(it, said)
    {
        list_remove(it);
        free(container_of(it, struct said, link));
    }
}

#define ORQ_SYSTEM                                                                                 \
    STR("Voc\xC3\xAA \xC3\xA9 o assistente do Orquestrador de IAs V3.0, um sistema que coordena "  \
        "v\xC3\xA1rios modelos de IA para planejar, executar e validar tarefas. Responda em "      \
        "portugu\xC3\xAAs, de forma clara e objetiva.")
#define ORQ_CLOSING                                                                                \
    STR("\nResponda de forma \xC3\xBAtil \xC3\xA0 \xC3\xBAltima mensagem do usu\xC3\xA1rio. Se "   \
        "ele pedir para criar uma tarefa, oriente-o a usar a p\xC3\xA1gina \"Nova Tarefa\".")

static bool orquestrador_write(struct buf *out, struct str system_prompt, const struct list *said)
{
    bool ok = buf_add(out, system_prompt.n > 0 ? system_prompt : ORQ_SYSTEM) &&
              buf_add(out, STR("\n\nContexto da conversa:\n"));
    list_each(it, said)
    {
        const struct said *s = container_of(it, struct said, link);
        ok = ok && buf_add(out, s->role) && buf_add(out, STR(": ")) && buf_add(out, s->content) &&
             buf_add_char(out, '\n');
    }
    return ok && buf_add(out, ORQ_CLOSING);
}

static size_t said_count(const struct list *said)
{
    size_t n = 0;
    list_each(it, said)
    {
        n++;
    }
    return n;
}

struct llm_message *prompt_make(enum chat_form form, struct str system_prompt,
                                const struct list *said, struct buf *out, size_t *ret_count)
{
    struct llm_message *all = calloc(said_count(said) + 1, sizeof(*all));
    size_t n = 0;
    if (all == NULL)
        return NULL;
    if (form == CHAT_ORQUESTRADOR) {
        if (!orquestrador_write(out, system_prompt, said)) {
            free(all);
            return NULL;
        }
        all[n++] = (struct llm_message){STR("user"), buf_str(out)};
    } else {
        if (system_prompt.n > 0)
            all[n++] = (struct llm_message){STR("system"), system_prompt};
        list_each(it, said)
        {
            const struct said *s = container_of(it, struct said, link);
            all[n++] = (struct llm_message){s->role, s->content};
        }
    }
    *ret_count = n;
    return all;
}
