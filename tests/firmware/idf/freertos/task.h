/* FreeRTOS's tasks. Written from its documentation, as README.md here says. */
#ifndef IDF_FREERTOS_TASK_H
#define IDF_FREERTOS_TASK_H

#include "FreeRTOS.h"

typedef struct tskTaskControlBlock *TaskHandle_t;

void vTaskDelay(TickType_t ticks);
UBaseType_t uxTaskGetStackHighWaterMark(TaskHandle_t task);

#endif
