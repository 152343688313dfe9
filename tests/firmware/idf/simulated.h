/* What the simulated parts share: the folder that is the board, whose files are its flash, its pins and its camera. */
#ifndef IDF_SIMULATED_H
#define IDF_SIMULATED_H

#include <stddef.h>

/* FOLDER/name of the board, from IDF_FOLDER. */
const char *idf_path(const char *name);

/* Ends the process: what the simulation itself cannot do, or what no ESP-IDF program may. */
_Noreturn void idf_die(const char *what);

#endif
