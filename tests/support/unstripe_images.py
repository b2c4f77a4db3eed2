#!/usr/bin/env python3
"""Puts the chunks of striped images back into the order of the disk that they are: chunk 0 of the first image, chunk 0 of the second,
and so on, then chunk 1 of each. Written from the description in docs/disks.md, not from the code."""

import argparse


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chunk", type=int, required=True, help="bytes of a chunk")
    parser.add_argument("output")
    parser.add_argument("images", nargs="+")
    arguments = parser.parse_args()

    files = [open(name, "rb") for name in arguments.images]
    rounds = min(file.seek(0, 2) for file in files) // arguments.chunk
    with open(arguments.output, "wb") as output:
        output.truncate(rounds * arguments.chunk * len(files))
        for row in range(rounds):
            for member, file in enumerate(files):
                file.seek(row * arguments.chunk)
                chunk = file.read(arguments.chunk)
                if chunk.count(0) != len(chunk):
                    output.seek((row * len(files) + member) * arguments.chunk)
                    output.write(chunk)


if __name__ == "__main__":
    main()
