"""How far is the flow that metrics and fusion rest on from the truth? On rendered sequences, where that is exact.

    python benchmarks/flow.py --data DATA

Columns: mean end-point error of DIS flow in pixels where the truth says visible, the median, the share of pixels off by
more than 1 pixel, all of these also within what `motion.visible` trusts; the share of hidden pixels that it finds, and
of visible ones that it drops. Prints a table, and one JSON object as the last line.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
from common import hardware

from stylize.motion import motion_between


def sequence_errors(folder: Path) -> dict[str, float]:
    """Over all pairs of a sequence, seen from the later frame, as fusion does."""
    stored = np.load(folder / "flow.npz")
    pictures = [cv2.cvtColor(cv2.imread(str(p)), cv2.COLOR_BGR2RGB) for p in sorted(folder.glob("frame_*.png"))]
    errors, trusted, hidden, moved = [], [], [], []
    for i in range(len(pictures) - 1):
        motion = motion_between(pictures[i], pictures[i + 1])
        truth = stored["bwd"][i].astype(np.float32)
        errors.append(np.linalg.norm(motion.flow - truth, axis=-1))
        moved.append(np.linalg.norm(truth, axis=-1))
        trusted.append(motion.visible)
        hidden.append(stored["occ_bwd"][i] > 0)
    error, known, unseen = np.stack(errors), np.stack(trusted), np.stack(hidden)
    seen = ~unseen
    return {
        "motion": float(np.stack(moved)[seen].mean()),
        "error": float(error[seen].mean()),
        "median": float(np.median(error[seen])),
        "off": float((error[seen] > 1).mean()),
        "error_trusted": float(error[seen & known].mean()),
        "off_trusted": float((error[seen & known] > 1).mean()),
        "hidden_found": float((~known)[unseen].mean()),
        "visible_dropped": float((~known)[seen].mean()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with depth/sequences/")
    args = parser.parse_args()
    folders = sorted((args.data / "depth" / "sequences").glob("seq*"), key=lambda p: int(p.name[3:]))
    rows = {folder.name: sequence_errors(folder) for folder in folders}
    rows["mean"] = {key: float(np.mean([row[key] for row in rows.values()])) for key in next(iter(rows.values()))}
    print(f"{'sequence':<9}" + "".join(f"{key:>17}" for key in rows["mean"]))
    for name, row in rows.items():
        print(f"{name:<9}" + "".join(f"{value:>17.3f}" for value in row.values()))
    print(json.dumps({"benchmark": "flow", "hardware": hardware(), "sequences": rows}))


if __name__ == "__main__":
    main()
