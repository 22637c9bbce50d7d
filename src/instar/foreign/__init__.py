"""What strangers wrote, read by a process that has given up its means. Linux."""
