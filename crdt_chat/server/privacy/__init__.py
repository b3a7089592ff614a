"""What must go, and what a person may ask for.

    erasing       erasure rewriting erasure_log
    a person's    export
    with time     retention

restoring.py, above, erases again what a backup brings back.
"""
