from .document import page as page
from .document import write_page as write_page
from .leaderboard import leaderboard_page as leaderboard_page
from .leaderboard import write_leaderboard as write_leaderboard
