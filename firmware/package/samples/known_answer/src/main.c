/* Verifies an image whose answer is known, by the network of a person who is nobody (seeded_person.h), which shows that
 * engine and compiler do what they should. */
#include <hyper_mcu.h>

#include "seeded_person.h"

#include <zephyr/sys/printk.h>

static hm_session session;
static hm_person person;

int main(void)
{
    hm_status status = hm_person_from_blob(seeded_person, sizeof seeded_person, &person);
    if (status == HM_OK) {
        status = hm_known_answer(&session, &person);
    }
    printk("known answer %s\n", status == HM_OK ? "right" : "WRONG");
    return 0;
}
