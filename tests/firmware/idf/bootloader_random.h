/* The chip's source of noise. Written from its documentation, as README.md here says. */
#ifndef IDF_BOOTLOADER_RANDOM_H
#define IDF_BOOTLOADER_RANDOM_H

void bootloader_random_enable(void);
void bootloader_random_disable(void);

#endif
