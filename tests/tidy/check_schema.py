#!/usr/bin/env python3
"""Holds docs/config.schema.json to the example documents of the configuration's tests (tests/unit/kernel/config/documents), with Debian's
python3-jsonschema.

Good documents are valid. Of bad ones, each part that the parser finds at fault (a LUN, a controller, the document) is invalid by itself,
and no other part is. Parts that only the parser can refuse stand in documents/beyond-schema.txt, each with the reason:

    DOCUMENT PART REASON, where PART is document, CONTROLLER or CONTROLLER/LUN, by number
"""

import copy
import json
import pathlib
import re
import sys

import jsonschema

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
DOCUMENTS = ROOT / "tests/unit/kernel/config/documents"
GUID = "00000000-0000-4000-8000-{:012x}"


def good_lun(protocol):
    place = {"IDE": {"location": 1, "channel": 0}, "VIRTIO_BLK": {"location": 0}}.get(str(protocol).upper(), {"location": 1})
    return {**place, "disk": "mem:1M"}


def parts(document):
    """Yields the name of each part, and a document in which everything but that part is as it should be."""
    if not isinstance(document, dict):
        yield "document", document
        return
    outer = document.get("dynamic") if isinstance(document.get("dynamic"), dict) else document
    controllers = outer.get("storage_controllers")
    controllers = controllers if isinstance(controllers, list) else []

    def with_controllers(some):
        changed = copy.deepcopy(document)
        (changed["dynamic"] if outer is not document else changed)["storage_controllers"] = some
        return changed

    sound = [{"protocol": "NVME", "instance_id": GUID.format(n), "luns": []} for n in range(len(controllers))]
    yield "document", with_controllers(sound) if controllers else document

    for number, controller in enumerate(controllers):
        if not isinstance(controller, dict):
            yield str(number), {"version": 1, "storage_controllers": [controller]}
            continue
        luns = controller.get("luns")
        protocol = controller.get("protocol")
        emptied = dict(controller)
        if isinstance(luns, list):
            emptied["luns"] = [good_lun(protocol)] * len(luns)
        yield str(number), {"version": 1, "storage_controllers": [emptied]}
        known = protocol if str(protocol).upper() in ("NVME", "SCSI", "IDE", "VIRTIO_BLK", "FLOPPY") else "NVME"
        for index, lun in enumerate(luns if isinstance(luns, list) else []):
            alone = {"protocol": known, "instance_id": GUID.format(number), "luns": [lun]}
            yield f"{number}/{index}", {"version": 1, "storage_controllers": [alone]}


def parts_at_fault(errors):
    """The parts that the parser's errors are about."""
    found = set()
    for line in errors:
        place = re.match(r"(?:dynamic\.)?storage_controllers\[(\d+)\](?:\.luns\[(\d+)\])?", line)
        if place is None:
            found.add("document")
        else:
            found.add(place.group(1) if place.group(2) is None else f"{place.group(1)}/{place.group(2)}")
    return found


def main():
    schema = json.loads((ROOT / "docs/config.schema.json").read_text())
    jsonschema.Draft4Validator.check_schema(schema)
    validator = jsonschema.Draft4Validator(schema)
    problems = []
    beyond = {}
    for line in (DOCUMENTS / "beyond-schema.txt").read_text().splitlines():
        name, part, reason = line.split(" ", 2)
        beyond[name, part] = reason

    for path in sorted(DOCUMENTS.glob("good/*.json")):
        for error in validator.iter_errors(json.loads(path.read_text())):
            problems.append(f"{path.name}: is good, and the schema says: {error.message[:200]}")

    for path in sorted(DOCUMENTS.glob("bad/*.json")):
        try:
            document = json.loads(path.read_text())
        except json.JSONDecodeError:
            continue  # no JSON; the parser says so too, which its own test shows
        errors = [line for line in path.with_suffix(".errors").read_text().splitlines() if not line.startswith("#")]
        truncated = any(line.startswith("and ") for line in errors)
        at_fault = parts_at_fault(line for line in errors if not line.startswith("and "))
        for part, alone in parts(document):
            invalid = not validator.is_valid(alone)
            excused = beyond.pop((path.stem, part), None) is not None
            if part in at_fault and not invalid and not excused:
                problems.append(f"{path.name}: {part} is bad, and the schema accepts it")
            elif invalid and part not in at_fault and not truncated:
                problems.append(f"{path.name}: {part} is good, and the schema refuses it")
            elif excused and (invalid or part not in at_fault):
                problems.append(f"beyond-schema.txt: {path.stem} {part} need not stand there")
    problems += [f"beyond-schema.txt: there is no {name} {part}" for name, part in beyond]

    print("\n".join(problems) if problems else "the schema and the documents agree")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
