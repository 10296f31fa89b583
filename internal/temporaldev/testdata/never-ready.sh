#!/bin/sh
# Stands for a server that hangs while it starts, in a child that holds its streams open.
echo "starting" >&2
cat
