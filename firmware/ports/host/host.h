/* What the files of the host port share: the options of the process, and its parts. */
#ifndef HOST_H
#define HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How a power cut leaves the operation of flash that it meets. */
typedef enum host_cut { HOST_BEFORE, HOST_TORN, HOST_AFTER } host_cut;

typedef struct host_options {
    const char *flash;  /* file of the partition, made where it is missing; NULL: nothing lasts */
    const char *key;    /* file of the key; NULL: nothing lasts */
    const char *frame;  /* file of what the camera shows, raw RGB888, each time that it is written; NULL: no camera */
    const char *name;   /* of the board */
    uint32_t unit;      /* erased at once */
    uint32_t word;      /* programmed at once */
    uint32_t units;     /* of people; LOG_UNITS more are the gate's */
    uint32_t cut_at;    /* operation of flash at which the power goes, from 1; 0: never */
    host_cut cut;
    int port;           /* of TCP on 127.0.0.1, 0: any that is free; -1: a pseudo-terminal */
    uint16_t width;     /* of the frame */
    uint16_t height;
} host_options;

enum { HOST_LOG_UNITS = 2, HOST_FAULT = 70 };

extern host_options host;

/* Ends the process: a line on stderr, exit code 2. */
_Noreturn void host_refuse(const char *what, const char *got);

void host_open_flash(void);
void host_open_frame(void);
void host_open_line(void); /* and prints its name */

/* AES-256-CTR (FIPS 197, SP 800-38A) of n bytes in place; `counter` is the first block. */
void host_aes_ctr(const uint8_t key[32], const uint8_t counter[16], uint8_t *bytes, size_t n);

#endif
