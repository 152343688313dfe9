/* A gate over a flash in RAM, for a core whose instructions are left out and whose registers are flipped. */
#include "hm_gate.h"

#include "../core/hm_memory.h"

enum { UNIT = 256 };

hm_gate gate;
hm_verdict verdict;

static union {
    uint8_t bytes[2 * UNIT];
    uint64_t aligned[UNIT / 4];
} memory __attribute__((aligned(16)));

static bool erase(void *context, uint32_t offset)
{
    (void)context;
    hm_fill(memory.bytes + offset, 0xFF, UNIT);
    return true;
}

static bool program(void *context, uint32_t offset, const uint8_t *bytes, uint32_t n)
{
    (void)context;
    hm_copy(memory.bytes + offset, bytes, n);
    return true;
}

static const hm_flash flash = {memory.bytes, sizeof memory.bytes, UNIT, 8, NULL, erase, program};
static const hm_gate_policy policy = {100, 1, 1};

/* What the gate is not: one question, and the word that opens ready before it. */
HM_NOINLINE uint32_t judge_by_a_branch(hm_gate *g, hm_status status, const hm_verdict *v, uint32_t now_ms);
uint32_t judge_by_a_branch(hm_gate *g, hm_status status, const hm_verdict *v, uint32_t now_ms)
{
    uint32_t answer = HM_GATE_MATCH;
    HM_OPAQUE(answer);
    if (v->decision != HM_MATCH || status != HM_OK) {
        answer = HM_GATE_NO_MATCH;
    }
    HM_OPAQUE(answer);
    g->last_ms = now_ms;
    return answer;
}

void hm_reset(void); /* the entry */
void hm_reset(void)
{
    hm_fill(memory.bytes, 0xFF, sizeof memory.bytes);
    verdict.logit = 0; /* the test writes it */
    if (hm_gate_mount(&gate, &flash, policy, 0) != HM_CODE_OK || hm_gate_attempt(&gate, 0) != HM_CODE_OK ||
        hm_gate_judge(&gate, HM_OK, &verdict, 0) == 0 || judge_by_a_branch(&gate, HM_OK, &verdict, 0) == 0 ||
        hm_gate_attempt(&gate, 0) != HM_CODE_OK) {
        gate.pending = 0;
    }
}
