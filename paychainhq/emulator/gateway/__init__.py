"""Payment gateway of the emulator (seed 004), below `/gateway` on the same server."""
