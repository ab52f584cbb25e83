#!/usr/bin/env python3
"""Installations of the application from before: links into its checkout that people or scripts made
elsewhere, and copies that pip installed."""

import unittest

from daemon_fixture import listing
from job_fixture import JobTestCase


class OldInstallations(JobTestCase):
    def setUp(self):
        super().setUp()
        self.home = self.sandbox.home
        self.packages = self.home / ".local/lib/python3.11/site-packages"

    def pip_install(self, name, package, code, script):
        """What pip leaves of a distribution with one command."""
        info = self.packages / f"{name}.dist-info"
        for directory in (self.packages / package, info):
            directory.mkdir(parents=True)
        (self.packages / package / "__init__.py").write_text("")
        (self.packages / package / "cli.py").write_text(code)
        self.command = self.sandbox.links / script
        self.command.write_text(f"#!/usr/bin/python3\nfrom {package}.cli import main\nmain()\n")
        self.command.chmod(0o755)
        (info / "INSTALLER").write_text("pip\n")
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name.split('-')[0]}\n")
        (info / "RECORD").write_text(
            f"../../../bin/{script},sha256=Zm9v,60\n{name}.dist-info/INSTALLER,sha256=Zm9v,4\n"
            f"{name}.dist-info/METADATA,sha256=Zm9v,40\n{name}.dist-info/RECORD,,\n"
            f"{package}/__init__.py,sha256=Zm9v,0\n{package}/cli.py,sha256=Zm9v,{len(code)}\n")

    def test_a_full_upgrade_removes_old_links_into_the_checkout_and_no_others(self):
        self.adopt_checkout()
        self.mcpctl("upgrade")
        directory = self.home / "bin"
        directory.mkdir()
        (directory / "demo").symlink_to(self.repository.path / "bin" / "demo")
        (directory / "other").symlink_to(self.repository.path / "bin" / "demo")
        self.repository.release("1.1")
        self.mcpctl("upgrade")
        self.assertTrue((directory / "demo").is_symlink(), "a quick upgrade removes nothing")
        self.repository.release("1.2")
        printed = self.mcpctl("upgrade", "--full")
        self.assertIn("removed the stale link", printed)
        self.assertFalse((directory / "demo").is_symlink())
        self.assertTrue((directory / "other").is_symlink())
        self.assert_runs("1.2")

    def test_a_copy_that_pip_installed_is_named_with_the_line_that_removes_it(self):
        self.sandbox.write_configuration({"recognize": ["demo_code.commands"]})
        self.pip_install("demo_tool-0.9", "demo_code",
                         "from demo_code.commands import greet\ndef main(): greet()\n", "demo")
        # The wrapper alone says nothing of what it runs, so that nothing takes its place by itself.
        self.repository.release("1.0")
        self.daemon.start()
        self.assertIn("its content is not recognized", self.mcpctl("upgrade", status=1))
        self.command.unlink()
        before = listing(self.packages)
        printed = self.mcpctl("upgrade", "--full")
        self.assertIn("demo_tool 0.9, installed with pip, is another copy of this application",
                      printed)
        self.assertIn("python3.11 -m pip uninstall", printed)
        self.assert_same(before, listing(self.packages))
        status = self.mcpctl("status")
        self.assertIn("demo_tool 0.9, installed with pip, is another copy of demo", status)
        self.assertIn("python3.11 -m pip uninstall", status)
        (self.packages / "demo_tool-0.9.dist-info" / "RECORD").unlink()
        self.assertNotIn("installed with pip", self.mcpctl("status"))

    def test_another_program_of_the_same_name_is_nobodys_copy(self):
        self.sandbox.write_configuration({"recognize": ["demo_code.commands"]})
        self.pip_install("demo-1.9.0", "demo", "from demo.server import Server\n", "demo")
        self.command.unlink()
        self.repository.release("1.0")
        self.daemon.start()
        self.assertNotIn("pip", self.mcpctl("upgrade", "--full"))
        self.assertNotIn("pip", self.mcpctl("status"))


if __name__ == "__main__":
    unittest.main()
