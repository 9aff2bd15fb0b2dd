/* layer.c - the list of layers that the command knows; see layer.h. */
#include "tools/layer.h"

#include <stddef.h>
#include <string.h>

#include "tools/message.h"
#include "tools/output.h"

enum { SHOWN_BYTES = 64 }; /* of data in a line for people */

static const struct dw_layer *const layers[] = {&dw_layer_raft, &dw_layer_indexed};

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

static bool is_text(const unsigned char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i] < 0x20 || bytes[i] > 0x7e)
            return false;
    return size > 0;
}

void dw_layer_print_data(const void *data, size_t size, const char *decoded)
{
    const unsigned char *bytes = data;
    size_t shown = size < SHOWN_BYTES ? size : SHOWN_BYTES;
    const char *rest = shown < size ? "..." : "";
    if (decoded)
        dw_output_format("  %s", decoded);
    else if (is_text(bytes, shown))
        dw_output_format("  \"%.*s\"%s", (int)shown, (const char *)bytes, rest);
    else if (shown > 0) {
        dw_output_text("  ");
        for (size_t i = 0; i < shown; i++)
            dw_output_format("%02x", bytes[i]);
        dw_output_text(rest);
    }
    dw_output_text("\n");
}
