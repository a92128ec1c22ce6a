/* What an input of the receiver's target is made of; receiver.c says what its steps are. */
#ifndef LINA_TESTS_FUZZ_RECEIVER_H
#define LINA_TESTS_FUZZ_RECEIVER_H

enum { POST, SEND, FILL, TEST, CLOSE, PART, EARLY, STEPS };
enum { BULK = 0x80 }; /* in the lane of a header */

#endif
