/* People that come with the program: put into the store of a device on which nobody ever was.
 *
 * They are sealed by the device itself, under its own key, and are people like all others from then on: listed, replaced
 * and deleted by the link. */
#ifndef HM_FACTORY_H
#define HM_FACTORY_H

#include "hm_device.h"

/* A person.bin without facts, at a multiple of 4, for as long as the call lasts. */
typedef struct hm_built_in {
    const uint8_t *blob;
    uint32_t size;
} hm_built_in;

/* Person i is sealed with the rollback counter i + 1, and put there only while the device accepted none as high: each of
 * them once, whenever the power fails; who was deleted does not come back. On a device that took others before, to a
 * counter of k, the first k do not come at all. HM_CODE_NO_KEY while the device has no key: call it again when it has.
 * Whoever is refused is passed over, for good where somebody behind is taken: the code is that of the first one refused.
 * Ends where flash fails; the next start goes on there. */
HM_MUST_CHECK hm_code hm_factory_people(hm_device *device, const hm_built_in *people, uint32_t n);

/* -DHM_FACTORY=1: people come with the program, as hm_people in a file of its own. */
#ifndef HM_FACTORY
#define HM_FACTORY 0
#endif
#if HM_FACTORY
extern const hm_built_in hm_people[];
extern const uint32_t hm_people_count;
#endif

#endif
