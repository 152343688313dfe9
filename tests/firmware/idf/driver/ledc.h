/* What a camera's configuration names of ESP-IDF's LED control. Written from its documentation, as README.md here says. */
#ifndef IDF_DRIVER_LEDC_H
#define IDF_DRIVER_LEDC_H

typedef enum { LEDC_TIMER_0 } ledc_timer_t;
typedef enum { LEDC_CHANNEL_0 } ledc_channel_t;

#endif
