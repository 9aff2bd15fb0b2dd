/* layer.c - the list of layers that the command knows; see layer.h. */
#include "tools/layer.h"

#include <stddef.h>
#include <string.h>

#include "tools/message.h"

static const struct dw_layer *const layers[] = {&dw_layer_raft};

const struct dw_layer *dw_layer_find(const char *name)
{
    for (size_t i = 0; i < sizeof layers / sizeof layers[0]; i++)
        if (strcmp(layers[i]->name, name) == 0)
            return layers[i];
    dw_message_error("the layers are: " DW_LAYER_NAMES, "there is no layer \"%s\"", name);
    return NULL;
}

bool dw_layer_has_word(const char *list, const char *word)
{
    size_t size = strlen(word);
    for (const char *at = list; at; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, word, size) == 0 && (at[size] == 0 || at[size] == ','))
            return true;
    }
    return false;
}
