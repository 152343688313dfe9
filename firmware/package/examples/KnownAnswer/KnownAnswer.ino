/* Any board: verifies an image whose answer is known, by the network of a person who is nobody (seeded_person.h), which
 * shows that engine and compiler do what they should, and how long a verification takes. */
#include <hyper_mcu.h>

#include "seeded_person.h"

static hm_session session;
static hm_person person;

void setup()
{
    Serial.begin(115200);
}

void loop()
{
    hm_status status = hm_person_from_blob(seeded_person, sizeof seeded_person, &person);
    const unsigned long begin = millis();
    if (status == HM_OK) {
        status = hm_known_answer(&session, &person);
    }
    Serial.print(status == HM_OK ? "known answer right, ms: " : "known answer WRONG, ms: ");
    Serial.println(millis() - begin);
    delay(1000);
}
