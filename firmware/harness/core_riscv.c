/* From reset to hm_start on a RISC-V core in machine mode, which begins at the lowest address of flash; a trap ends the
 * program. */
#include "core.h"

void hm_reset(void);
void hm_trap(void);

__attribute__((naked, used, section(".vectors"))) void hm_reset(void)
{
    __asm__ volatile(".option push\n .option arch, +zicsr\n"
                     " la sp, hm_stack_top\n la t0, hm_trap\n csrw mtvec, t0\n j hm_start\n .option pop");
}

__attribute__((naked, used, aligned(4))) void hm_trap(void)
{
    __asm__ volatile("la sp, hm_stack_top\n j hm_fault");
}
