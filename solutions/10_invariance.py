# %% [markdown]
# # 10 · WRITE: title: what is derived
#
# WRITE: two or three sentences.

# %%
from jemlib.course import check, hint, recorded_claims, solution, verify

# %% [markdown]
# ## What you will learn
#
# WRITE: this section.

# %% [markdown]
# ## Before you start
#
# WRITE: this section.

# %% [markdown]
# ## Notation
#
# WRITE: this section.

# %% [markdown]
# ## Derivation
#
# WRITE: this section.

# %% [markdown]
# ## Ladder
#
# WRITE: this section.

# %% [markdown]
# ## Predict, then run
#
# WRITE: this section.

# %% [markdown]
# ## Experiment
#
# WRITE: this section.

# %% [markdown]
# ## Widget
#
# WRITE: this section.

# %% [markdown]
# ## What the sources got wrong
#
# WRITE: this section.

# %% [markdown]
# ## Take-away
#
# WRITE: this section.

# %% [markdown]
# ## Quiz
#
# WRITE: this section.

# %% [markdown]
# ## References
#
# WRITE: this section.
