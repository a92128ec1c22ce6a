/* NCCL's table of device functions as it would be if every row were a function of its own. */
#include "nccl_abi.h"

#define ROWS_4(n)    (n), (n) + 1, (n) + 2, (n) + 3
#define ROWS_16(n)   ROWS_4(n), ROWS_4((n) + 4), ROWS_4((n) + 8), ROWS_4((n) + 12)
#define ROWS_64(n)   ROWS_16(n), ROWS_16((n) + 16), ROWS_16((n) + 32), ROWS_16((n) + 48)
#define ROWS_256(n)  ROWS_64(n), ROWS_64((n) + 64), ROWS_64((n) + 128), ROWS_64((n) + 192)
#define ROWS_1024(n) ROWS_256(n), ROWS_256((n) + 256), ROWS_256((n) + 512), ROWS_256((n) + 768)

const int ncclDevFuncRowToId[] = { ROWS_1024(0), ROWS_1024(1024) };
