"""When a person should take over: what is measured, the policy that weighs it, and the decision. Pure."""
