/* Which kernels the engine is built with. All compute the same bytes; -DHM_KERNELS=HM_PORTABLE overrides the choice. */
#ifndef HM_KERNELS_H
#define HM_KERNELS_H

#define HM_PORTABLE 0 /* C11, for every target */

#ifndef HM_KERNELS
#define HM_KERNELS HM_PORTABLE
#endif

#endif
