"""`mandelbrot`: pure Python, a step at a time; the global lock is never let go of. Dozens of times slower than compiled code."""
from ..digests import seal, weighed, word


def prepare(_kernel, seed, input_bytes):
    height = 1 << (input_bytes.bit_length() - 1) // 2
    width = input_bytes // height
    dx, dy = 2.5 / width, 2.5 / height

    def run(task):
        shift = word(seed, task)
        left = -2.0 + (shift & 0xFFFF) / 2**24
        bottom = -1.25 + (shift >> 48) / 2**24
        counts = []
        for row in range(height):
            imaginary = bottom + row * dy
            for column in range(width):
                real = left + column * dx
                x = y = 0.0
                count = 0
                while count < 255 and x * x + y * y <= 4.0:
                    x, y = x * x - y * y + real, 2.0 * x * y + imaginary
                    count += 1
                counts.append(count)
        return seal(weighed(counts), seed, task)

    return run, 0
