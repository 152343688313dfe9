/* The gate's log in flash, its delays, and a judgement that one fault cannot turn. Bytes: STORE.md, "Gate log". */
#include "hm_gate.h"

#include "../core/hm_memory.h"

#define HM_LOG_MAGIC UINT32_C(0x676C4D48) /* "HMlg" */

/* HM_GATE_MATCH and HM_MATCH are nowhere in this file but here: what is returned is made of the verdict, so that there is
 * no place in the code where a fault finds the word ready. */
HM_STATIC_ASSERT(HM_GATE_MATCH == HM_MATCH && HM_GATE_NO_MATCH == HM_NO_MATCH, "hyper-mcu: the gate passes decisions on");

/* Far from each other and from any answer. Each complaint is added to a decision that is not HM_MATCH anyway. */
#define HM_PENDING UINT32_C(0x96C3E178)
#define HM_BELOW UINT32_C(0x2B3C5F11)
#define HM_UNMATCHED UINT32_C(0x58D21E37)
#define HM_FAILED UINT32_C(0x0D4B9A63)
#define HM_NOT_PENDING UINT32_C(0x4E71D829)
#define HM_NOT_LOGGED UINT32_C(0x71A5C60B)

/* An entry is of two words; a success has zeros where an attempt has ones, so that none becomes the other on its way. */
#define HM_ATTEMPT_LOW UINT32_C(0x0F1E2D3C)
#define HM_ATTEMPT_HIGH UINT32_C(0x4B5A6978)
#define HM_SUCCESS_LOW (~HM_ATTEMPT_LOW)
#define HM_SUCCESS_HIGH (~HM_ATTEMPT_HIGH)

enum {
    HM_LOG_FORMAT = 1,
    HM_LOG_HEAD = 64, /* bytes: the head, and the same once more */
    HM_LOG_ENTRY = 8, /* bytes of an entry, or a whole word of flash */
    HM_LOG_DAMAGED = 32 /* failures more than the policy's that an unreadable log counts as: the longest delay */
};

typedef struct hm_log_head {
    uint32_t magic;
    uint32_t format;
    uint32_t sequence; /* the unit with the highest one goes on */
    uint32_t failures; /* before its first entry */
    uint32_t reserved[3];
    uint32_t check; /* CRC-32 of all before it */
} hm_log_head;

HM_STATIC_ASSERT(2 * sizeof(hm_log_head) == HM_LOG_HEAD, "hyper-mcu: two heads begin a unit of the log");

static uint32_t hm_stride(const hm_flash *flash)
{
    return flash->word > HM_LOG_ENTRY ? flash->word : (uint32_t)HM_LOG_ENTRY;
}

static uint32_t hm_more(uint32_t failures, uint32_t n)
{
    return failures > UINT32_MAX - n ? UINT32_MAX : failures + n;
}

static void hm_set_failures(hm_gate *gate, uint32_t failures, uint32_t now_ms)
{
    gate->failures = failures;
    gate->inverted = ~failures;
    gate->waited = 0;
    gate->waited_ms = 0;
    gate->last_ms = now_ms;
}

/* Whether every byte of the entry there is that of (low, high), again and again up to a word of flash. */
static bool hm_is_entry(const hm_flash *flash, uint32_t at, uint32_t low, uint32_t high)
{
    const uint32_t pair[2] = {low, high};
    const uint8_t *const wanted = (const uint8_t *)pair;
    bool same = true;
    for (uint32_t i = 0; i < hm_stride(flash); i++) {
        same = same && flash->base[at + i] == wanted[i % sizeof pair];
    }
    return same;
}

/* Programs an entry at gate->at, which goes on in any case. */
static hm_code hm_log_entry(hm_gate *gate, uint32_t low, uint32_t high)
{
    uint32_t pairs[HM_FLASH_WORD / sizeof(uint32_t)];
    for (uint32_t i = 0; i < HM_FLASH_WORD / sizeof(uint32_t); i += 2) {
        pairs[i] = low;
        pairs[i + 1] = high;
    }
    const uint32_t at = gate->at;
    gate->at += hm_stride(gate->flash);
    return hm_flash_program(gate->flash, at, pairs, hm_stride(gate->flash));
}

static bool hm_has_room(const hm_gate *gate, uint32_t entries)
{
    return gate->log + gate->flash->unit - gate->at >= entries * hm_stride(gate->flash);
}

static hm_code hm_log_begin(hm_gate *gate, uint32_t unit, uint32_t failures)
{
    hm_log_head head;
    hm_fill(&head, 0, sizeof head);
    head.magic = HM_LOG_MAGIC;
    head.format = HM_LOG_FORMAT;
    head.sequence = gate->sequence + 1;
    head.failures = failures;
    head.check = hm_flash_crc(0, &head, offsetof(hm_log_head, check));
    hm_code code = hm_flash_program(gate->flash, unit, &head, sizeof head);
    if (code == HM_CODE_OK) {
        code = hm_flash_program(gate->flash, unit + sizeof head, &head, sizeof head);
    }
    if (code == HM_CODE_OK) {
        gate->sequence = head.sequence;
        gate->log = unit;
        gate->at = unit + HM_LOG_HEAD;
    }
    return code;
}

/* Goes on in another unit than gate->log, which stays as it is until the next time. */
static hm_code hm_log_go_on(hm_gate *gate, uint32_t failures)
{
    const hm_flash *const flash = gate->flash;
    hm_code code = HM_CODE_FLASH;
    for (uint32_t i = 1; i < flash->size / flash->unit && code != HM_CODE_OK; i++) {
        const uint32_t unit = (gate->log + i * flash->unit) % flash->size;
        code = hm_flash_erase(flash, unit);
        if (code == HM_CODE_OK) {
            code = hm_log_begin(gate, unit, failures);
        }
    }
    return code;
}

static bool hm_read_head(const hm_flash *flash, uint32_t at, hm_log_head *head)
{
    hm_copy(head, flash->base + at, sizeof *head);
    return head->magic == HM_LOG_MAGIC && head->format == HM_LOG_FORMAT &&
           head->check == hm_flash_crc(0, head, offsetof(hm_log_head, check));
}

/* The failures that a unit's entries add up to: an entry that is neither erased nor a success is one. gate->at: behind the
 * last entry that is not erased; there may be erased ones between them, which flash did not take. */
static uint32_t hm_log_count(hm_gate *gate, uint32_t failures)
{
    const hm_flash *const flash = gate->flash;
    const uint32_t stride = hm_stride(flash);
    for (uint32_t at = gate->log + HM_LOG_HEAD; at + stride <= gate->log + flash->unit; at += stride) {
        if (!hm_flash_is_erased(flash, at, stride)) {
            failures = hm_is_entry(flash, at, HM_SUCCESS_LOW, HM_SUCCESS_HIGH) ? 0 : hm_more(failures, 1);
            gate->at = at + stride;
        }
    }
    return failures;
}

/* Finds the unit that the log is in; *failures: those before its first entry. False: there is none. A unit whose second
 * head is not there and that has no entries is one that power did not let begin: the one before it is as good. */
static bool hm_log_find(hm_gate *gate, uint32_t *failures)
{
    const hm_flash *const flash = gate->flash;
    bool found = false;
    bool begun = false;
    uint32_t damaged = 0;
    *failures = 0;
    gate->log = 0;
    gate->sequence = 0;
    for (uint32_t unit = 0; unit < flash->size; unit += flash->unit) {
        hm_log_head head;
        bool whole = hm_read_head(flash, unit + sizeof head, &head);
        if (whole || hm_read_head(flash, unit, &head)) {
            whole = whole || !hm_flash_is_erased(flash, unit + HM_LOG_HEAD, flash->unit - HM_LOG_HEAD);
            if (!found || (whole && !begun) || (whole == begun && head.sequence > gate->sequence)) {
                found = true;
                begun = whole;
                gate->log = unit;
                gate->sequence = head.sequence;
                *failures = head.failures;
            }
        } else if (!hm_flash_is_erased(flash, unit, flash->unit)) {
            damaged++;
        }
    }
    *failures = hm_more(*failures, damaged);
    gate->at = gate->log + HM_LOG_HEAD;
    return found;
}

/* Whether nothing was ever logged here: at most power failed while the first head was programmed. */
static bool hm_log_is_new(const hm_flash *flash)
{
    return hm_flash_is_erased(flash, HM_LOG_HEAD, flash->size - HM_LOG_HEAD);
}

static hm_code hm_log_read(hm_gate *gate, uint32_t now_ms)
{
    uint32_t failures;
    hm_code code = HM_CODE_OK;
    if (hm_log_find(gate, &failures)) {
        failures = hm_log_count(gate, failures);
    } else if (hm_log_is_new(gate->flash)) {
        failures = 0;
        code = HM_CODE_FLASH;
        if (hm_flash_is_erased(gate->flash, 0, HM_LOG_HEAD)) { /* else it would be programmed a second time */
            code = hm_log_begin(gate, 0, 0);
        }
        if (code != HM_CODE_OK) {
            code = hm_flash_erase(gate->flash, 0);
            code = code == HM_CODE_OK ? hm_log_begin(gate, 0, 0) : code;
        }
    } else {
        failures = hm_more(gate->policy.attempts, HM_LOG_DAMAGED);
        code = hm_log_go_on(gate, failures); /* never in the first unit, so that it is not taken for a new log */
    }
    hm_set_failures(gate, failures, now_ms);
    return code;
}

hm_code hm_gate_mount(hm_gate *gate, const hm_flash *flash, hm_gate_policy policy, uint32_t now_ms)
{
    hm_fill(gate, 0, sizeof *gate);
    gate->policy = policy;
    if (policy.attempts == 0) {
        gate->policy.attempts = 1;
    }
    if (!hm_flash_is_sound(flash) || flash->size / flash->unit < 2) {
        return HM_CODE_FLASH;
    }
    gate->flash = flash;
    const hm_code code = hm_log_read(gate, now_ms);
    if (code != HM_CODE_OK) {
        gate->flash = NULL;
    }
    return code;
}

static uint32_t hm_delay(const hm_gate_policy *policy, uint32_t failures)
{
    if (failures < policy->attempts || policy->first_delay == 0) {
        return 0;
    }
    uint64_t delay = policy->first_delay;
    for (uint32_t more = failures - policy->attempts; more > 0 && delay < policy->longest_delay; more--) {
        delay *= 2;
    }
    return delay < policy->longest_delay ? (uint32_t)delay : policy->longest_delay;
}

uint32_t hm_gate_wait(hm_gate *gate, uint32_t now_ms)
{
    const uint32_t passed = now_ms - gate->last_ms;
    gate->last_ms = now_ms;
    if (passed <= INT32_MAX) {
        const uint32_t ms = gate->waited_ms + passed;
        gate->waited = hm_more(gate->waited, ms / 1000);
        gate->waited_ms = ms % 1000;
    }
    if (gate->failures != ~gate->inverted) {
        return gate->policy.longest_delay > 0 ? gate->policy.longest_delay : 1;
    }
    const uint32_t delay = hm_delay(&gate->policy, gate->failures);
    if (gate->waited >= delay) {
        gate->waited = delay; /* and it stays over */
        return 0;
    }
    return delay - gate->waited;
}

hm_code hm_gate_attempt(hm_gate *gate, uint32_t now_ms)
{
    gate->pending = 0;
    if (gate->flash == NULL) {
        return HM_CODE_FLASH;
    }
    if (gate->failures != ~gate->inverted && hm_log_read(gate, now_ms) != HM_CODE_OK) { /* and the delay runs again */
        return HM_CODE_FLASH;
    }
    if (hm_gate_wait(gate, now_ms) != 0) {
        return HM_CODE_LOCKED;
    }
    hm_code code = HM_CODE_FLASH;
    /* a word that power once failed on may look erased and take nothing: then the next one. There must be room for a
     * success behind the attempt */
    for (uint32_t tries = 0; tries < 4 && hm_has_room(gate, 2) && code != HM_CODE_OK; tries++) {
        code = hm_log_entry(gate, HM_ATTEMPT_LOW, HM_ATTEMPT_HIGH);
    }
    if (code != HM_CODE_OK) {
        code = hm_log_go_on(gate, gate->failures);
        code = code == HM_CODE_OK ? hm_log_entry(gate, HM_ATTEMPT_LOW, HM_ATTEMPT_HIGH) : code;
    }
    if (code == HM_CODE_OK) {
        hm_set_failures(gate, hm_more(gate->failures, 1), now_ms);
        gate->pending = HM_PENDING;
    }
    return code;
}

/* What status and verdict say, without a branch: the decision alone where nothing speaks against it. Volatile, so that
 * two calls read twice. */
HM_NOINLINE static uint32_t hm_said(uint32_t status, const hm_verdict *verdict)
{
    const volatile hm_verdict *const said = verdict;
    const int64_t above = (int64_t)said->logit - said->threshold;
    const uint32_t below = (uint32_t)((uint64_t)above >> 63);
    const uint32_t unmatched = *(const volatile uint8_t *)&said->match ^ 1U;
    return said->decision + below * HM_BELOW + unmatched * HM_UNMATCHED + status * HM_FAILED;
}

/* HM_GATE_MATCH by way of its complement, which the compiler does not get to see through. */
static bool hm_is_match(uint32_t answer)
{
    uint32_t rest = answer ^ HM_GATE_NO_MATCH;
    HM_OPAQUE(rest);
    return rest == UINT32_MAX;
}

uint32_t hm_gate_judge(hm_gate *gate, hm_status status, const hm_verdict *verdict, uint32_t now_ms)
{
    const volatile uint32_t told = (uint32_t)status;
    const volatile uint32_t pending = gate->pending;
    gate->pending = 0;
    gate->last_ms = now_ms; /* the delay runs from the failure on */
    if (pending != HM_PENDING || told != HM_OK || verdict == NULL) {
        return HM_GATE_ERROR;
    }
    uint32_t answer = hm_said(told, verdict) + (pending ^ HM_PENDING) * HM_NOT_PENDING;
    if (!hm_is_match(answer)) {
        return answer == HM_GATE_NO_MATCH + HM_BELOW + HM_UNMATCHED ? HM_GATE_NO_MATCH : HM_GATE_ERROR;
    }
    HM_OPAQUE(answer); /* else the compiler would know what it is here */
    hm_code code = HM_CODE_FLASH;
    uint32_t at = gate->at;
    while (code != HM_CODE_OK && hm_has_room(gate, 1)) {
        /* a success only where the answer is HM_GATE_MATCH; made of any other word, one more failure */
        at = gate->at;
        code = hm_log_entry(gate, HM_SUCCESS_LOW + (answer - HM_GATE_MATCH), HM_SUCCESS_HIGH + (answer - HM_GATE_MATCH));
    }
    if (code != HM_CODE_OK) {
        return HM_GATE_ERROR;
    }
    answer = hm_said(told, verdict) + (pending ^ HM_PENDING) * HM_NOT_PENDING;
    answer += (uint32_t)!hm_is_entry(gate->flash, at, HM_SUCCESS_LOW, HM_SUCCESS_HIGH) * HM_NOT_LOGGED;
    if (!hm_is_match(answer)) {
        return HM_GATE_ERROR;
    }
    hm_set_failures(gate, 0, now_ms);
    return answer;
}
