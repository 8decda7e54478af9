/* console_priv.h - the table between the generated file with the assets and its host.
 * Thread:  any; constants.
 * Memory:  constants of the program.
 * Failure: none. */
#ifndef CONSOLE_CONSOLE_PRIV_H
#define CONSOLE_CONSOLE_PRIV_H

#include "http/static.h"

extern const struct asset_set console_assets;
/* What the page may do: its own scripts, styles and connections, and nothing from elsewhere. */
extern const char console_csp[];

#endif
