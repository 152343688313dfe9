/* The gate: whether a door may open. Match, no match or an error, and attempts that are counted before they are made.
 *
 * An attempt is programmed into flash before the camera is looked at, so that cutting the power does not give another
 * one. After `attempts` failures in a row the gate is shut for `first_delay` seconds, twice that after each further
 * failure, `longest_delay` at most; after a reset the whole delay runs again. A match wipes the count. The log's bytes are
 * in STORE.md, "Gate log". */
#ifndef HM_GATE_H
#define HM_GATE_H

#include "hm_flash.h"

/* Any two differ in 16 bits or more, so that no few flipped bits make one of another. */
#define HM_GATE_MATCH UINT32_C(0x5AC369A5)
#define HM_GATE_NO_MATCH UINT32_C(0xA53C965A)
#define HM_GATE_ERROR UINT32_C(0x3C5AA5C3)

typedef struct hm_gate_policy {
    uint32_t attempts;      /* failures before the first delay, at least 1 */
    uint32_t first_delay;   /* seconds; 0: the gate is never shut */
    uint32_t longest_delay; /* seconds */
} hm_gate_policy;

typedef struct hm_gate {
    const hm_flash *flash; /* two units or more: a log, and where it goes on when full. NULL: nothing can be counted */
    hm_gate_policy policy;
    uint32_t failures;  /* in a row, as flash has them, */
    uint32_t inverted;  /* and their complement */
    uint32_t log;       /* offset of the unit that the log is in */
    uint32_t at;        /* offset of its next entry */
    uint32_t sequence;  /* of that unit: how often the log went on in another one */
    uint32_t last_ms;   /* the clock, when it was last looked at */
    uint32_t waited;    /* seconds of the delay, */
    uint32_t waited_ms; /* and 1/1000 of one, 0 to 999 */
    uint32_t pending;   /* a word of its own while an attempt was counted and not judged */
} hm_gate;

/* Reads the log. now_ms: the port's clock, from any start, which may wrap. Damage counts as failures, never as none. Where
 * it is not HM_CODE_OK the gate stays shut. */
HM_MUST_CHECK hm_code hm_gate_mount(hm_gate *gate, const hm_flash *flash, hm_gate_policy policy, uint32_t now_ms);

/* Seconds until the next attempt is allowed, 0: now. A clock that jumps by half of its range or more has not moved: who
 * waits for longer than that asks in between. */
uint32_t hm_gate_wait(hm_gate *gate, uint32_t now_ms);

/* Counts an attempt; HM_CODE_LOCKED while the gate is shut, HM_CODE_FLASH where it cannot be counted: then there is none. */
HM_MUST_CHECK hm_code hm_gate_attempt(hm_gate *gate, uint32_t now_ms);

/* Judges the attempt that was counted: HM_GATE_MATCH only for status HM_OK, decision HM_MATCH, match and logit ≥
 * threshold all together, after hm_gate_attempt, and once its failure has been taken back in flash. HM_GATE_NO_MATCH for
 * status HM_OK and a verdict that says no in all three; anything else is HM_GATE_ERROR, and the failure stays too. */
uint32_t hm_gate_judge(hm_gate *gate, hm_status status, const hm_verdict *verdict, uint32_t now_ms);

#endif
