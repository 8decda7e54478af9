"""What the cases send: UTF-8 sequences, good and bad, and five kinds of bytes to compress."""

import functools
import random


def is_utf8(payload):
    try:
        payload.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def leads(first, last):
    """Every lead byte of a range but the last, each followed by a space."""
    return b"".join(bytes((b, 0x20)) for b in range(first, last))


def surrogate(high, low):
    """The code points high and low as if UTF-8 could carry surrogates."""
    return b"".join(chr(c).encode("utf-8", "surrogatepass") for c in (high, low) if c)


def noncharacters():
    """U+FFFE and U+FFFF of the planes: valid, though nobody may use them."""
    out = [b"\xef\xbf\xbe", b"\xef\xbf\xbf"]
    for plane in range(1, 17):
        for last in (0xfffe, 0xffff):
            out.append(chr(plane << 16 | last).encode())
    return out


def utf8_groups():
    """The groups 6.5 to 6.23, after Markus Kuhn's stress test of UTF-8 decoders."""
    greek = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5"
    cut = [b"\xc0", b"\xe0\x80", b"\xf0\x80\x80", b"\xf8\x80\x80\x80", b"\xfc\x80\x80\x80\x80",
           b"\xdf", b"\xef\xbf", b"\xf7\xbf\xbf", b"\xfb\xbf\xbf\xbf", b"\xfd\xbf\xbf\xbf\xbf"]
    inside = [b"hello" + s + b"world" for s in
              (b"\x24", b"\xc2\xa2", b"\xe2\x82\xac", b"\xf0\xa4\xad\xa2")]
    yield inside + [greek]
    yield [greek[:n] for n in range(1, len(greek) + 1)]
    yield [b"\x00", b"\xc2\x80", b"\xe0\xa0\x80", b"\xf0\x90\x80\x80"]
    yield [b"\xf8\x88\x80\x80\x80", b"\xfc\x84\x80\x80\x80\x80"]
    yield [b"\x7f", b"\xdf\xbf", b"\xef\xbf\xbf", b"\xf4\x8f\xbf\xbf"]
    yield [b"\xf7\xbf\xbf\xbf", b"\xfb\xbf\xbf\xbf\xbf", b"\xfd\xbf\xbf\xbf\xbf\xbf"]
    yield [b"\xed\x9f\xbf", b"\xee\x80\x80", b"\xef\xbf\xbd", b"\xf4\x8f\xbf\xbf",
           b"\xf4\x90\x80\x80"]
    yield [b"\x80", b"\xbf"] + [(b"\x80\xbf" * 3)[:n] for n in range(2, 7)] + \
        [bytes(range(0x80, 0xbf))]
    yield [leads(0xc0, 0xdf), leads(0xe0, 0xef), leads(0xf0, 0xf7), leads(0xf8, 0xfb),
           leads(0xfc, 0xfd)]
    yield cut
    yield [b"".join(cut)]
    yield [b"\xfe", b"\xff", b"\xfe\xfe\xff\xff"]
    yield [b"\xc0\xaf", b"\xe0\x80\xaf", b"\xf0\x80\x80\xaf", b"\xf8\x80\x80\x80\xaf",
           b"\xfc\x80\x80\x80\x80\xaf"]
    yield [b"\xc1\xbf", b"\xe0\x9f\xbf", b"\xf0\x8f\xbf\xbf", b"\xf8\x87\xbf\xbf\xbf",
           b"\xfc\x83\xbf\xbf\xbf\xbf"]
    yield [b"\xc0\x80", b"\xe0\x80\x80", b"\xf0\x80\x80\x80", b"\xf8\x80\x80\x80\x80",
           b"\xfc\x80\x80\x80\x80\x80"]
    yield [surrogate(c, 0) for c in (0xd800, 0xdb7f, 0xdb80, 0xdbff, 0xdc00, 0xdf80, 0xdfff)]
    yield [surrogate(h, l) for h in (0xd800, 0xdb7f, 0xdb80, 0xdbff) for l in (0xdc00, 0xdfff)]
    yield noncharacters()
    yield [b"\xef\xbf" + bytes((b,)) for b in range(0xb9, 0xc0)]


# ---- compression ----

CORPORA = ("json", "bitmap", "prose", "html", "packed")
TEXT_CORPORA = ("json", "html")  # sent as text; cut anywhere, so they are ASCII
CORPUS_BYTES = 200000
WORDS = ("the hub moves events from a publisher to every client at once in order per tenant and "
         "resumable after any disconnect it replaces polling").split()


def json_record(rng):
    return '{"id":%d,"type":"%s","tags":["%s","%s"],"value":%.3f,"note":"%s"},\n' % (
        rng.randrange(10**6), rng.choice(WORDS), rng.choice(WORDS), rng.choice(WORDS),
        rng.random() * 100, " ".join(rng.choices(WORDS, k=6)))


def html_record(rng):
    return '<tr class="%s"><td>%d</td><td><a href="/%s">%s</a></td></tr>\n' % (
        rng.choice(("odd", "even")), rng.randrange(1000), rng.choice(WORDS),
        " ".join(rng.choices(WORDS, k=4)))


def filled(make):
    out, size = [], 0
    while size < CORPUS_BYTES:
        out.append(make())
        size += len(out[-1])
    return b"".join(out)[:CORPUS_BYTES]


@functools.lru_cache(maxsize=None)
def corpus(kind):
    rng = random.Random(kind)
    if kind == "json":
        return filled(lambda: json_record(rng).encode())
    if kind == "html":
        return filled(lambda: html_record(rng).encode())
    if kind == "prose":
        return filled(lambda: (" ".join(rng.choices(WORDS, k=12)) + ".\r\n").encode())
    if kind == "bitmap":  # neighbours are alike
        return bytes((x + x // 512 + rng.randrange(4)) // 4 & 255 for x in range(CORPUS_BYTES))
    return filled(lambda: rng.randbytes(900) + b"\nendstream\nendobj\n")  # hardly to compress
