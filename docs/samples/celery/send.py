from shop import refund, ship

ship.delay("Order:7")
refund.delay("Order:8")
