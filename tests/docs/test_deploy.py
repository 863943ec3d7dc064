"""The files in `deploy/` name settings and commands that exist."""

import re
from dataclasses import fields

import pytest
import typer

from gemvec.cli.app import app
from gemvec.settings import Settings, variable_name
from pages import ROOT

FILES = sorted((ROOT / "deploy").iterdir())
VARIABLES = {variable_name(each.name) for each in fields(Settings)}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_variable_is_a_setting(file):
    named = re.findall(r"\bGEMVEC_\w+", file.read_text())
    assert named
    assert set(named) <= VARIABLES


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_command_is_one_the_command_line_reads(file):
    root, text = typer.main.get_command(app), file.read_text()
    lines = re.findall(r"^(?:RUN |ExecStart=/opt/gemvec/bin/)gemvec (.+)$", text, re.MULTILINE)
    lines += re.findall(r'^CMD \["gemvec", "(\w+)"\]$', text, re.MULTILINE)
    assert "serve" in lines
    for line in lines:
        command, words = root, line.split()
        while words and hasattr(command, "commands"):
            command = command.commands[words.pop(0)]
        command.make_context("gemvec", words)
