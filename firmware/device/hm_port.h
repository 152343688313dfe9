/* What a platform gives. A port is one folder that defines these calls; hm_device and the applications make them. */
#ifndef HM_PORT_H
#define HM_PORT_H

#include "hm_flash.h"
#include "hm_image.h"
#include "hm_seal.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

const char *hm_port_board(void); /* its name, as `hyper-mcu boards` has it */

/* The serial line. read: up to n bytes that are there, 0 where there are none; write: all n, or false. */
size_t hm_port_read(uint8_t *bytes, size_t n);
bool hm_port_write(const uint8_t *bytes, size_t n);
void hm_port_idle(void); /* nothing to do: may sleep until a byte or a millisecond comes */

uint32_t hm_port_ms(void);     /* a clock that wraps */
uint32_t hm_port_cycles(void); /* of the core, which wrap; or of any finer clock */
uint32_t hm_port_cycles_hz(void);
uint32_t hm_port_stack_used(void); /* most bytes of stack that were ever in use, 0: not known */

const hm_flash *hm_port_people(void); /* the partition of people */
const hm_flash *hm_port_log(void);    /* that of the gate, two units or more */

/* The device's key and its number, above 0. false: none yet. set_key: once, in the factory; false where there is one or it
 * cannot be kept. */
bool hm_port_key(uint8_t key[HM_KEY_BYTES], uint32_t *number);
bool hm_port_set_key(const uint8_t key[HM_KEY_BYTES], uint32_t number);

bool hm_port_random(uint8_t *bytes, size_t n); /* of cryptographic quality, or false */

/* AES-256-CTR of n bytes in place, `counter` being the first block; false where the platform has no cipher. */
bool hm_port_decrypt(const uint8_t key[HM_KEY_BYTES], const uint8_t counter[16], uint8_t *bytes, size_t n);
/* Room for a decrypted person, at a multiple of 16; NULL where there is none. */
uint8_t *hm_port_room(size_t n);

bool hm_port_frame(hm_frame *frame); /* the camera's next frame; false: none, or no camera */
void hm_port_light(bool on);         /* the LED or the lock: on opens. Off at start */

void hm_main(void); /* the application, which a port calls when all of this is there; it does not return */

#endif
