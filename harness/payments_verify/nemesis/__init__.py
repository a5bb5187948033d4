"""What goes wrong with processes, networks, clocks and disks while clients work, and what may follow."""
