"""Command `python -m paychainhq.cli`, the same as `paychainhq`."""

from paychainhq.cli import main

main()
