"""Chunks of batches on a Ray cluster: the server keeps the store, actors on the cluster's nodes compute.

    server ─▶ driver (a process beside it) ─▶ actors (on the nodes, each with the model)

`executor` is the server's side. `driver` is a process of its own, because Ray ends a process that has lost its cluster:
it reads lines, gives them to `pool`, and writes part files. `actor` is sent to the nodes whole, so that it can say what
is wrong with a node before anything of gemvec is loaded there; `node` computes. Ray remembers nothing: what is lost
with an actor or a node is given to another one.
"""
