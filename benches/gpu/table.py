"""The results of a GPU's bench as a page."""

# tokens that are said in 30 s: of fast English, as people read
TOKENS = 100


def line(step):
    """A step in a few words."""
    if "error" in step:
        return step["error"].splitlines()[-1][:300]
    if "batches" in step:
        paces = ", ".join(f"{batch['rows']}: {batch['tokens_per_sec']:.0f}" for batch in step["batches"])
        return f"tokens/s by windows: {paces}; {step['windows_encoded_per_sec']:.2f} windows/s encoded"
    if "x_realtime" in step:
        return f"{step['x_realtime']:.1f} x realtime, {step['lanes']} lanes"
    if "equal" in step:
        return f"{step['equal']} of {step['clips']} texts are equal"
    return f"done in {step['took_secs']} s"


def page(out):
    steps = out["steps"]
    lines = [f"# {out.get('card') or out['device']}", "", f"{'; '.join(out.get('cards', [])) or 'no GPU'}; {out.get('processor')}", ""]
    lines += [f"- {name}: {line(step)}{usage(step)}" for name, step in steps.items() if "batches" not in step]
    sweeps = {name: step for name, step in steps.items() if "batches" in step}
    if sweeps:
        rows = sorted({batch["rows"] for step in sweeps.values() for batch in step["batches"]})
        lines += ["", "Tokens a second by windows at a time; windows of 30 s encoded a second; x realtime that the two make"
                      f" at {TOKENS} tokens a window and the most windows (a model, not a run); shares of the card's bound.", ""]
        lines += ["| weights | " + " | ".join(map(str, rows)) + " | windows/s | x realtime | encoder's share | decoder's share |",
                  "|---" * (len(rows) + 5) + "|"]
        lines += [sweep(name, step, rows) for name, step in sweeps.items()]
    if out["left_out"]:
        lines += ["", f"Left out for want of time: {', '.join(out['left_out'])}."]
    return "\n".join(lines) + "\n"


def sweep(name, step, rows):
    paces = {batch["rows"]: batch for batch in step["batches"]}
    cells = [f"{paces[row]['tokens_per_sec']:.0f}" if row in paces else "" for row in rows]
    last = paces[max(paces)]
    seconds = step["encode_secs"] + TOKENS / last["tokens_per_sec"]
    shares = [f"{share:.0%}" if share is not None else "-" for share in (step.get("encoder_share"), last.get("share"))]
    return f"| {name}{usage(step)} | " + " | ".join([*cells, f"{step['windows_encoded_per_sec']:.2f}", f"{30 / seconds:.0f}", *shares]) + " |"


def usage(step):
    gpu = step.get("gpu")
    return f" (GPU busy {gpu['busy_percent']} %, {gpu['memory_mib']:.0f} MiB, {gpu['watts']} W)" if gpu else ""
