"""The objects of the API as pydantic models: the only source of the CRDs, of their reference page and of what
the operator reads.

``parse`` reads an object of the cluster; ``task`` and ``source`` hold the two kinds, ``task_spec`` and
``task_status`` the halves of the first; ``resolve`` knows the values that an absent field stands for;
``bounds`` cuts what is written to the size that the API server takes. ``crds`` and ``docs`` write the
generated files and are imported by no other module.
"""
