/* The rest of a board, simulated: time (IDF_SPEED times as fast), pins and camera as files, the line as a TCP port,
 * noise that is only there while it is switched on. */
#define _GNU_SOURCE

#include "simulated.h"

#include "bootloader_random.h"
#include "driver/gpio.h"
#include "driver/uart.h"
#include "driver/usb_serial_jtag.h"
#include "esp_camera.h"
#include "esp_cpu.h"
#include "esp_random.h"
#include "esp_timer.h"
#include "freertos/task.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MOST_PIXELS = 640 * 480 };

void app_main(void);

static int listener = -1;
static int client = -1;

const char *idf_path(const char *name)
{
    static char path[4096];
    (void)snprintf(path, sizeof path, "%s/%s", getenv("IDF_FOLDER"), name);
    return path;
}

void idf_die(const char *what)
{
    (void)fprintf(stderr, "simulation: %s\n", what);
    _exit(3);
}

int main(void)
{
    app_main();
    return 0;
}

/* ---- Time and tasks ---- */

int64_t esp_timer_get_time(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    const char *const speed = getenv("IDF_SPEED");
    return ((int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000) * (speed == NULL ? 1 : strtol(speed, NULL, 10));
}

esp_cpu_cycle_count_t esp_cpu_get_cycle_count(void)
{
    return (esp_cpu_cycle_count_t)(esp_timer_get_time() * 240);
}

void vTaskDelay(TickType_t ticks)
{
    (void)ticks;
    (void)usleep(500);
    if (getppid() == 1) { /* who started the board is gone */
        _exit(0);
    }
}

UBaseType_t uxTaskGetStackHighWaterMark(TaskHandle_t task)
{
    (void)task;
    return 1234;
}

/* ---- Random numbers ---- */

static bool noisy;

void bootloader_random_enable(void) { noisy = true; }

void bootloader_random_disable(void) { noisy = false; }

void esp_fill_random(void *bytes, size_t n)
{
    static uint8_t next; /* without noise: the same after each start */
    if (noisy && getenv("IDF_NO_NOISE") == NULL) {
        if (getrandom(bytes, n, 0) != (ssize_t)n) {
            idf_die("no random bytes");
        }
        return;
    }
    for (size_t i = 0; i < n; i++) {
        ((uint8_t *)bytes)[i] = noisy ? 0 : next++;
    }
}

/* ---- Pins: FOLDER/pin33 has the levels that the program gave, one after the other; FOLDER/press is a button held down at
 * pin 13 or 0 ---- */

static uint64_t outputs;
static uint64_t inputs;

esp_err_t gpio_config(const gpio_config_t *config)
{
    if (config->mode != GPIO_MODE_INPUT || config->pull_up_en != GPIO_PULLUP_ENABLE) {
        idf_die("the button needs an input with a pull-up");
    }
    inputs |= config->pin_bit_mask;
    return ESP_OK;
}

esp_err_t gpio_set_level(gpio_num_t pin, uint32_t level)
{
    char name[16];
    (void)snprintf(name, sizeof name, "pin%d", (int)pin);
    FILE *const file = fopen(idf_path(name), "a");
    if (file == NULL || fprintf(file, "%u", (unsigned)level) < 0 || fclose(file) != 0) {
        idf_die("a pin cannot be written");
    }
    return ESP_OK;
}

esp_err_t gpio_set_direction(gpio_num_t pin, gpio_mode_t mode)
{
    outputs |= mode == GPIO_MODE_OUTPUT ? UINT64_C(1) << pin : 0;
    return ESP_OK;
}

int gpio_get_level(gpio_num_t pin)
{
    if ((inputs >> pin & 1) == 0) {
        idf_die("a pin is read that is no input");
    }
    return access(idf_path("press"), F_OK) == 0 ? 0 : 1;
}

/* ---- Camera: FOLDER/frame.bin, a new reading for each frame ---- */

static bool camera_on;
static bool taken;
static camera_fb_t buffer;
static uint8_t pixels[2 * MOST_PIXELS];

esp_err_t esp_camera_init(const camera_config_t *config)
{
    const bool whole = config->pixel_format == PIXFORMAT_RGB565 && config->fb_count == 1 &&
                       config->fb_location == CAMERA_FB_IN_PSRAM && config->xclk_freq_hz > 0;
    if (!whole || noisy) {
        idf_die("the camera begins with other settings, or while the noise source has its peripheral");
    }
    buffer.width = config->frame_size == FRAMESIZE_VGA ? 640 : config->frame_size == FRAMESIZE_QVGA ? 320 : 160;
    buffer.height = buffer.width * 3 / 4;
    camera_on = access(idf_path("no-camera"), F_OK) != 0;
    return camera_on ? ESP_OK : ESP_FAIL;
}

camera_fb_t *esp_camera_fb_get(void)
{
    if (!camera_on || taken) {
        idf_die(taken ? "a second frame of one buffer" : "a frame of no camera");
    }
    FILE *const file = fopen(idf_path("frame.bin"), "rb");
    buffer.buf = pixels;
    buffer.format = PIXFORMAT_RGB565;
    buffer.len = 0;
    if (file != NULL) {
        buffer.len = fread(pixels, 1, sizeof pixels, file);
        (void)fclose(file);
    }
    taken = true;
    return &buffer;
}

void esp_camera_fb_return(camera_fb_t *frame)
{
    if (frame != &buffer || !taken) {
        idf_die("a frame is given back that was not taken");
    }
    memset(pixels, 0x55, sizeof pixels); /* who still reads it sees that it was given back */
    taken = false;
}

/* ---- The line: one TCP connection at a time, on the port that FOLDER/port has ---- */

static esp_err_t install(void)
{
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t n = sizeof here;
    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (bind(listener, (struct sockaddr *)&here, n) != 0 || listen(listener, 4) != 0 ||
        getsockname(listener, (struct sockaddr *)&here, &n) != 0) {
        idf_die("no port");
    }
    char part[4096];
    (void)snprintf(part, sizeof part, "%s", idf_path("port.new"));
    FILE *const file = fopen(part, "w");
    if (file == NULL || fprintf(file, "%d", ntohs(here.sin_port)) < 0 || fclose(file) != 0 ||
        rename(part, idf_path("port")) != 0) {
        idf_die("the port cannot be told");
    }
    return ESP_OK;
}

static int receive(void *bytes, size_t n)
{
    const int next = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    if (next >= 0) {
        (void)close(client);
        client = next;
    }
    const ssize_t got = client < 0 ? 0 : recv(client, bytes, n, 0);
    return got > 0 ? (int)got : 0;
}

static int transmit(const void *bytes, size_t n)
{
    for (size_t done = 0; client >= 0 && done < n;) {
        const ssize_t sent = send(client, (const char *)bytes + done, n - done, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN) {
            break; /* the bytes go nowhere, as on a wire */
        }
        done += sent > 0 ? (size_t)sent : 0;
    }
    return (int)n;
}

esp_err_t uart_driver_install(uart_port_t port, int rx_bytes, int tx_bytes, int queue_size, QueueHandle_t *queue, int flags)
{
    if (port != 0 || rx_bytes <= 128 || tx_bytes != 0 || queue_size != 0 || queue != NULL || flags != 0) {
        idf_die("a UART with other settings");
    }
    return install();
}

esp_err_t uart_param_config(uart_port_t port, const uart_config_t *config)
{
    return port == 0 && config->baud_rate == 115200 && config->data_bits == UART_DATA_8_BITS ? ESP_OK : ESP_FAIL;
}

esp_err_t uart_set_pin(uart_port_t port, int tx, int rx, int rts, int cts)
{
    return port == 0 && tx == -1 && rx == -1 && rts == -1 && cts == -1 ? ESP_OK : ESP_FAIL;
}

int uart_read_bytes(uart_port_t port, void *bytes, uint32_t n, TickType_t ticks)
{
    (void)port;
    return ticks == 0 ? receive(bytes, n) : -1;
}

int uart_write_bytes(uart_port_t port, const void *bytes, size_t n)
{
    (void)port;
    return transmit(bytes, n);
}

esp_err_t usb_serial_jtag_driver_install(usb_serial_jtag_driver_config_t *config)
{
    return config->tx_buffer_size > 64 && config->rx_buffer_size > 64 ? install() : ESP_FAIL;
}

int usb_serial_jtag_read_bytes(void *bytes, uint32_t n, uint32_t ticks)
{
    return ticks == 0 ? receive(bytes, n) : -1;
}

int usb_serial_jtag_write_bytes(const void *bytes, size_t n, uint32_t ticks)
{
    return ticks > 0 ? transmit(bytes, n) : -1;
}
