"""python -m flopwise"""

from flopwise.cli import main

main(prog_name="flopwise")
