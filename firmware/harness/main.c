/* Runs hm_verify on every probe of the input and writes what happened as records.
 *
 * A record is a tag of four bytes, a length n (uint32) and n bytes; integers are little-endian:
 *   HMhi  format, layers, session bytes, input bytes (uint32 each)             once, first
 *   HMro  layer, row (uint16 each), the row's bytes (int8)                     in a build with HARNESS_TAPS
 *   HMve  status, match (uint32), logit, threshold (int32), rows, stack bytes (uint32)
 *   HMok  probes (uint32)                                                      once, last
 * Without the last record the output is not whole. */
#include "model.h"
#include "port.h"

#ifdef HARNESS_TAPS
#include "tap.h"
#endif

#ifdef HARNESS_BLOB
#include "blob.h" /* person.bin as harness_blob */
static hm_person from_blob;
#define OWNER (&from_blob)
#else
#define OWNER (&HM_PERSON)
#endif

enum { FORMAT = 2, HEAD_BYTES = 8 };

static hm_session session;
static hm_verdict verdict;
static hm_status status;
static uint8_t probe[HM_INPUT_BYTES];
static uint32_t rows;

static uint8_t *put_u16(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value & 0xFF);
    at[1] = (uint8_t)(value >> 8 & 0xFF);
    return at + 2;
}

static uint8_t *put_u32(uint8_t *at, uint32_t value)
{
    return put_u16(put_u16(at, value & 0xFFFF), value >> 16);
}

static uint8_t *put_head(uint8_t *at, char kind0, char kind1, uint32_t n)
{
    at[0] = 'H';
    at[1] = 'M';
    at[2] = (uint8_t)kind0;
    at[3] = (uint8_t)kind1;
    return put_u32(at + 4, n);
}

#ifdef HARNESS_TAPS
void harness_tap(int layer, int row, const int8_t *bytes, int n)
{
    uint8_t record[HEAD_BYTES + 4];
    uint8_t *at = put_head(record, 'r', 'o', 4 + (uint32_t)n);
    at = put_u16(at, (uint32_t)layer);
    at = put_u16(at, (uint32_t)row);
    port_write(record, (size_t)(at - record));
    port_write(bytes, (size_t)n);
    rows++;
}
#endif

static void say_hello(void)
{
    uint8_t record[HEAD_BYTES + 16];
    uint8_t *at = put_head(record, 'h', 'i', 16);
    at = put_u32(at, FORMAT);
    at = put_u32(at, HM_LAYERS);
    at = put_u32(at, (uint32_t)sizeof session);
    at = put_u32(at, HM_INPUT_BYTES);
    port_write(record, (size_t)(at - record));
}

static void say_verdict(uint32_t stack_bytes)
{
    uint8_t record[HEAD_BYTES + 24];
    uint8_t *at = put_head(record, 'v', 'e', 24);
    at = put_u32(at, (uint32_t)status);
    at = put_u32(at, verdict.match ? 1 : 0);
    at = put_u32(at, (uint32_t)verdict.logit);
    at = put_u32(at, (uint32_t)verdict.threshold);
    at = put_u32(at, rows);
    at = put_u32(at, stack_bytes);
    port_write(record, (size_t)(at - record));
}

static void say_done(uint32_t probes)
{
    uint8_t record[HEAD_BYTES + 4];
    uint8_t *at = put_head(record, 'o', 'k', 4);
    at = put_u32(at, probes);
    port_write(record, (size_t)(at - record));
}

static void verify(void)
{
    status = hm_verify(&session, OWNER, probe, &verdict);
}

int main(void)
{
    uint32_t probes = 0;
#ifdef HARNESS_BLOB
    if (hm_person_from_blob(harness_blob, sizeof harness_blob, &from_blob) != HM_OK) {
        port_exit(PORT_REFUSED_BLOB);
    }
#endif
    say_hello();
    while (port_probe(probe, sizeof probe)) {
        verdict.match = true; /* a verdict left as it was is then a match below its threshold, which the reader refuses */
        verdict.logit = INT32_MIN;
        verdict.threshold = INT32_MAX;
        rows = 0;
        say_verdict(port_call(verify));
        probes++;
    }
    say_done(probes);
    port_exit(0);
}
