def plan()->None: "x"
