"""Text that every Debian machine has, as numbers: the licences in common-licenses and what packages say of themselves."""
import collections
import glob
import gzip
import re

import torch

SOURCES = ("/usr/share/common-licenses/*", "/usr/share/doc/*/README*", "/usr/share/doc/*/NEWS*",
           "/usr/share/doc/*/changelog*")
NBYTES = 256
_word = re.compile(rb" ?[A-Za-z]+|[0-9]|\s+|.", re.DOTALL)


def read(limit_bytes):
    """The files one after the other, in the order of their names, `limit_bytes` at most."""
    whole = b""
    for pattern in SOURCES:
        for path in sorted(glob.glob(pattern)):
            with (gzip.open if path.endswith(".gz") else open)(path, "rb") as file:
                whole += file.read(limit_bytes - len(whole))
            if len(whole) == limit_bytes:
                return whole
    return whole


def words(text, vocabulary):
    """Tokens of `text` as a tensor of numbers below `vocabulary`: the commonest words have one each, all else is spelt in
    bytes. 256: bytes alone."""
    pieces = _word.findall(text)
    common = collections.Counter(piece for piece in pieces if len(piece) > 1).most_common(vocabulary - NBYTES)
    number = {piece: NBYTES + place for place, (piece, _) in enumerate(common)}
    tokens = []
    for piece in pieces:
        if piece in number:
            tokens.append(number[piece])
        else:
            tokens.extend(piece)
    return torch.tensor(tokens)


def batch(tokens, sequence, count, generator):
    """`count` sequences from places that the generator draws, and each one's next tokens."""
    starts = torch.randint(len(tokens) - sequence - 1, (count,), generator=generator)
    return (torch.stack([tokens[start:start + sequence] for start in starts]),
            torch.stack([tokens[start + 1:start + sequence + 1] for start in starts]))
