/* Linked with another test's main: its messages move in pieces from the start. */
#include "net/faults.h"

static void __attribute__((constructor)) pieces_from_the_start(void)
{
	faults_pieces(0x5eed);
}
