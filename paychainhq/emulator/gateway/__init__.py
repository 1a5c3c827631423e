"""The emulator's payment gateway, of the fifth seed document (004): below `/gateway` on the same server."""
